/** The node as it describes itself, asked for once a page and again when it was away. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { NodeInfo } from "./api/types";

export const NodeContext = createContext<NodeInfo | undefined>(undefined);

export const useNode = (): NodeInfo | undefined => useContext(NodeContext);

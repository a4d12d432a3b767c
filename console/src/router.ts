/** Where in the console one is: the part of the address after `#/`, so that the node serves one page. */
import { useEffect, useState } from "preact/hooks";

/** The address of a place. Names may hold anything. */
export const href = (...segments: string[]): string => `#/${segments.map(encodeURIComponent).join("/")}`;

export function segments(hash: string): string[] {
  const path = hash.replace(/^#\/?/, "");
  if (!path) return [];
  return path.split("/").map((segment) => {
    try {
      return decodeURIComponent(segment);
    } catch {
      return segment;
    }
  });
}

export function useRoute(): string[] {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return segments(hash);
}

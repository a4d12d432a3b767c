/** Starts the console. */
import { render } from "preact";
import { App } from "./app";
import { startLang } from "./i18n";
import "./style.css";
import { startTheme } from "./theme";

startLang();
startTheme();
const root = document.getElementById("app");
if (root) render(<App />, root);

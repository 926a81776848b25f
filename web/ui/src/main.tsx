/* main: puts the page on the screen. */
import { render } from "preact";
import "./style.css";
import { App } from "./view/app";

const root = document.getElementById("app");
if (root) render(<App />, root);

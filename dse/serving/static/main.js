// Which page this is.
import { get } from "./api.js";
import { role, say } from "./dom.js";
import { showLaunch } from "./launch.js";
import { showStudies } from "./studies.js";
import { showStudy } from "./study.js";

const path = window.location.pathname;
const root = role("page");

get("/server").then((server) => {
  say(role("database"), server.database);
  role("logout").hidden = !server.token_needed;
}, () => {});

function current(name) {
  const link = document.querySelector(`[data-nav="${name}"]`);
  if (link) link.setAttribute("aria-current", "page");
}

if (path === "/new") {
  current("new");
  showLaunch(root);
} else if (path.startsWith("/studies/")) {
  showStudy(root, decodeURIComponent(path.slice("/studies/".length)));
} else {
  current("studies");
  showStudies(root);
}

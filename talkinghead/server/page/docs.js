"use strict";

function add(parent, tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

async function main() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  const answer = await fetch("/openapi.json", { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  const description = await answer.json();
  const parent = document.getElementById("paths");
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      add(parent, "h2", `${method.toUpperCase()} ${path}`);
      add(parent, "p", operation.description || operation.summary);
      for (const [type, body] of Object.entries(operation.requestBody?.content || {})) {
        add(parent, "h3", type);
        const fields = add(parent, "ul", "");
        for (const [name, field] of Object.entries(body.schema.properties || {})) {
          add(fields, "li", `${name}: ${field.description || field.type || ""}`);
        }
        if (body.example) add(parent, "pre", JSON.stringify(body.example, null, 2));
      }
    }
  }
}

main();

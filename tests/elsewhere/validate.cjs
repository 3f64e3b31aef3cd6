// Prints, for every file in the arguments, what the Khronos validator has to say of it: one JSON array per line.
const fs = require("node:fs");
const validator = require("gltf-validator");

(async () => {
  for (const file of process.argv.slice(2)) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { maxIssues: 0 });
    const said = report.issues.messages.map(({ code, pointer, message }) => `${code} ${pointer}: ${message}`);
    console.log(JSON.stringify(said));
  }
})();

// Starts the module that wasm-bindgen's script and wasm file in the arguments make up.
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const [script, module] = process.argv.slice(2);
const { default: init } = await import(pathToFileURL(script).href);
await init({ module_or_path: await readFile(module) });

// Writes FILE.br and FILE.gz beside each file named in the arguments. Node has both compressors,
// so the recipes compile none.
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const brotli = promisify(brotliCompress);
const zip = promisify(gzip);

for (const path of process.argv.slice(2)) {
  const bytes = await readFile(path);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  const outputs = [['br', await brotli(bytes, { params })], ['gz', await zip(bytes, { level: 9 })]];
  // One that saves nothing would only cost the browser the unpacking.
  for (const [extension, packed] of outputs) {
    if (packed.length < bytes.length) await writeFile(`${path}.${extension}`, packed);
  }
}

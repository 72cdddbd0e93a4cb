/** Names of codecs as WebCodecs wants them, out of the descriptions that files carry (ISO/IEC 14496-15 and the AV1 and VP bindings). */

/** @param {number} value @param {number} [digits] */
const hex = (value, digits = 2) => value.toString(16).toUpperCase().padStart(digits, '0');
/** @param {number} value */
const two = (value) => String(value).padStart(2, '0');

/** @param {Uint8Array} avcC */
export function avcCodec(avcC) {
  return `avc1.${hex(avcC[1])}${hex(avcC[2])}${hex(avcC[3])}`;
}

/** @param {Uint8Array} hvcC */
export function hevcCodec(hvcC) {
  const [, head, ...rest] = hvcC;
  const space = ['', 'A', 'B', 'C'][head >> 6];
  const flags = rest.slice(0, 4).reduce((value, byte) => value * 256 + byte, 0);
  // Bit for bit the other way round.
  const compatible = Array.from({ length: 32 }, (_, i) => (flags >>> i) & 1).reduce((value, bit) => value * 2 + bit, 0);
  const constraints = rest.slice(4, 10);
  while (constraints.at(-1) === 0) constraints.pop();
  const parts = [`hvc1.${space}${head & 31}`, hex(compatible, 1), `${head & 32 ? 'H' : 'L'}${rest[10]}`, ...constraints.map((byte) => hex(byte, 1))];
  return parts.join('.');
}

/** @param {Uint8Array} vpcC with its version and flags */
export function vp9Codec(vpcC) {
  return vp9Name(vpcC[4], vpcC[6] >> 4, vpcC[5]);
}

/** @param {number} profile @param {number} bits @param {number} [level] recordings of Chromium have none, and WebCodecs wants one: that of 4K then */
export function vp9Name(profile, bits, level = 0) {
  return `vp09.${two(profile)}.${two(level || 51)}.${two(bits)}`;
}

/** @param {Uint8Array} av1C */
export function av1Codec(av1C) {
  const bits = (av1C[2] & 0x40) === 0 ? 8 : (av1C[2] & 0x20) === 0 ? 10 : 12;
  return `av01.${av1C[1] >> 5}.${two(av1C[1] & 31)}${av1C[2] & 0x80 ? 'H' : 'M'}.${two(bits)}`;
}

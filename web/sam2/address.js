/** Addresses as people write them: wrong ones are told, not thrown. */

/** @param {string | URL} address @param {string | URL} [base] @returns {URL | null} null where it is none */
export function addressOf(address, base) {
  try {
    return new URL(address, base);
  } catch {
    return null;
  }
}

/** The last part of an address's path, in readable letters; empty where there is none. @param {URL} url */
export function fileNameOf({ pathname }) {
  const last = pathname.split('/').pop() ?? '';
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // a % that begins no character
  }
}

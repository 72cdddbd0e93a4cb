/** Files that come in by choosing, dropping or pasting, sorted into pictures, clips and models. */

const MODEL = /\.(pt|pth|safetensors)$/i;
const CONFIG = /\.ya?ml$/i;
const VIDEO = /\.(mp4|m4v|mov|webm|mkv|ogv|avi)$/i;
const GIF = /\.gif$/i;
const SAVED = /\.jsonl?$/i;

/**
 * `clip`: a video, or several pictures, which are its frames in the order of their names. `picture`: a
 * single one, animated or not (animated.js). `saved`: masks of a clip.
 * @typedef {{ picture: File | null, clip: File | File[] | null, saved: File | null, model: File | null, config: File | null }} Sorted
 */

/**
 * Goes by name, then by type: browsers give model files no type, and some pictures neither.
 * @param {Iterable<File>} files
 * @returns {Sorted}
 */
export function sortFiles(files) {
  /** @type {Sorted} */
  const sorted = { picture: null, clip: null, saved: null, model: null, config: null };
  /** @type {File[]} */
  const pictures = [];
  for (const file of files) {
    if (MODEL.test(file.name)) sorted.model ??= file;
    else if (CONFIG.test(file.name)) sorted.config ??= file;
    else if (SAVED.test(file.name)) sorted.saved ??= file;
    else if (VIDEO.test(file.name) || file.type?.startsWith('video/')) sorted.clip ??= file;
    else pictures.push(file);
  }
  if (pictures.length > 1 && sorted.clip === null) {
    // Among pictures a GIF is meant as a clip. Of frames, 10 comes after 9.
    sorted.clip = pictures.find(({ name, type }) => GIF.test(name) || type === 'image/gif') ?? pictures.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  } else {
    sorted.picture = pictures[0] ?? null;
  }
  return sorted;
}

/**
 * @param {HTMLElement} veil shown while something hovers over the page
 * @param {(files: Sorted) => void} onFiles
 */
export function listenForFiles(veil, onFiles) {
  let depth = 0;
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener('dragenter', (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  document.addEventListener('dragleave', (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    veil.hidden = depth === 0;
  });
  document.addEventListener('dragover', (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    depth = 0;
    veil.hidden = true;
    const files = event.dataTransfer?.files;
    if (files === undefined || files.length === 0) return;
    event.preventDefault();
    onFiles(sortFiles(files));
  });
  document.addEventListener('paste', (event) => {
    const files = event.clipboardData?.files;
    if (files === undefined || files.length === 0) return;
    event.preventDefault();
    onFiles(sortFiles(files));
  });
}

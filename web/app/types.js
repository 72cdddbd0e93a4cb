/**
 * The two spaces of the page. The brands cost nothing at run time, and the type check refuses a
 * point of one space where the other is meant; only view.js converts.
 */

/** Pixels of the oriented picture, from its top left corner. @typedef {{ x: number, y: number } & { readonly space?: 'image' }} ImagePx */
/** CSS pixels of the area that the picture is shown in, from its top left corner. @typedef {{ x: number, y: number } & { readonly space?: 'area' }} AreaPx */
/** @typedef {{ width: number, height: number }} Size */
/** In image pixels. @typedef {{ x0: number, y0: number, x1: number, y1: number }} ImageBox */
/** @typedef {'loading' | 'ready' | 'encoding' | 'decoding' | 'idle' | 'error'} PageState */

export {};

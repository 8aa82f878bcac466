/** The typed face of the native layer. Nothing outside this folder loads the addon. */
export * from './error.js';

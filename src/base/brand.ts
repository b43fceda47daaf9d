/** base/brand.ts: nominal strings. A branded value can only come from the parser that owns the brand. */

declare const brand: unique symbol;

/** `T` that must have passed the one function which makes values named `Name`. */
export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

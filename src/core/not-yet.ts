/** How a field that a later version reads is refused: by its name, and never passed over. */
export const NOT_YET = "is not yet supported";

/**
 * A text of unknown origin, for readers who print what they get as it is: controls, and what turns or hides text around
 * it, are written as `\xNN` or `\u{N}`.
 */
export function printableText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}

/** Most texts are, and it is known faster than what the others hold. */
const PLAIN = /^[ -~]*$/;

/** A part of a URL, with what no URL holds written as its octets in UTF-8: `%1B`. Escapes that are there stay. */
export function printableUrl(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^!#-;=?-Z\\[\]_a-z~|^]/gu, (character) =>
      Array.from(
        Buffer.from(character, "utf8"),
        (octet) => `%${octet.toString(16).toUpperCase().padStart(2, "0")}`,
      ).join(""),
    );
}

/** Factors of the suffixes of Kubernetes' quantities. Kubernetes API, resource.Quantity. */
const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** `100m`, `1.5`, `128Mi`, `1e3` → a number. Throws an Error that says what was expected. */
export function parseQuantity(text: string): number {
  const match = /^(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE]([+-]?\d{1,2})|(n|u|m|k|[MGTPE]i?|Ki)?)$/.exec(text);
  if (match === null) throw new Error(`expected a quantity like 100m, 2 or 128Mi, found ${JSON.stringify(text)}`);
  return Number(match[1]) * (match[2] === undefined ? FACTORS[match[3] ?? ""]! : 10 ** Number(match[2]));
}

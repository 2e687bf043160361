// The book of accounts, over plain TCP: one line there, one line back.
//
//   BOOK <account> <cents>   -> BOOKED <entry number>
//   BALANCE <account>        -> BALANCE <cents>
import net from "node:net";

const PORT = Number(process.env.PORT);
const LINE_BYTES_MAX = 256;

const balances = new Map();
let entries = 0;

net
  .createServer({ allowHalfOpen: true }, serve)
  .listen(PORT, "127.0.0.1", () => process.stdout.write(`ledger listens on ${PORT}\n`));

function serve(socket) {
  let pending = "";
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    pending += text;
    const lines = pending.split("\n");
    pending = lines.pop();
    for (const line of lines) socket.write(`${answer(line.trim())}\n`);
    if (pending.length > LINE_BYTES_MAX) socket.destroy();
  });
  socket.on("end", () => socket.end());
  socket.on("error", () => socket.destroy());
}

function answer(line) {
  const [verb, account, cents] = line.split(" ");
  if (verb === "BOOK" && account && /^-?\d{1,12}$/.test(cents)) {
    balances.set(account, (balances.get(account) ?? 0) + Number(cents));
    return `BOOKED ${++entries}`;
  }
  if (verb === "BALANCE" && account) return `BALANCE ${balances.get(account) ?? 0}`;
  return "ERROR say BOOK <account> <cents> or BALANCE <account>";
}

import { expect, test } from "vitest";
import { parsePassiveOpens } from "../../../bench/path/accepted-connections.ts";

const SNMP = `Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens AttemptFails
Tcp: 1 -1 434043 212402 221352
Udp: InDatagrams
Udp: 7
`;

test("accepted connections are found by their name", () => {
  expect(parsePassiveOpens(SNMP)).toBe(212_402);
});

test.each(["", "Tcp: PassiveOpens\n", SNMP.replace("PassiveOpens", "Opens")])(
  "a kernel that does not count them is no zero",
  (text) => {
    expect(parsePassiveOpens(text)).toBeNaN();
  },
);

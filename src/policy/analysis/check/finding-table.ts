interface FindingEntry {
  /** What it means that it was found. */
  readonly means: string;
  readonly mend: string;
}

/** Everything that `policy check` warns of in an AuthorizationPolicy. docs/reference/policy-findings.md is made from this table. */
export const POLICY_FINDINGS = {
  "shadowed-rule": entry(
    "everything that the rule matches, other rules of the same action match as well: without it no request would be decided otherwise",
    "take the rule out, or narrow the one that covers it if that was not meant to be so wide",
  ),
  "unreachable-rule": entry(
    "everything that the ALLOW rule matches is denied by DENY rules, which come first",
    "take the rule out, or make an exception in the DENY rule",
  ),
  "contradicting-clauses": entry(
    "clauses that must hold together exclude each other, so the rule, or one alternative of it, matches nothing",
    "alternatives are items of `from` and `to`; what stands in one item must hold all at once",
  ),
  "deny-never-matches": entry(
    "no request can match the DENY rule: it protects nothing",
    "look at the clause that is named; what stands in one item must hold all at once",
  ),
  "value-never-matches": entry(
    "nothing that can come in looks like the value: for a path, because of how paths are normalised before they are matched",
    "write it as it is after normalisation (`policy eval` prints that); methods are in capital letters",
  ),
  "allows-everybody": entry(
    "the ALLOW rule matches every request of every caller, or of every caller that has any identity at all",
    "name the callers, or at least the ports; `rules: [{}]` in a namespace of its own says it is meant",
  ),
  "selects-nothing": entry(
    "no workload that is known has the labels in the policy's namespace",
    "compare the labels and the namespace with those of the workload",
  ),
  "unknown-caller": entry(
    "no workload that is known has the identity, account or namespace, so the value matches nobody",
    "look for a misspelling; callers from outside of the mesh have a trust domain of their own",
  ),
  "unknown-port": entry(
    "none of the workloads that the policy selects has the port",
    "`ports` are the container's ports, after those of a Service were translated",
  ),
  "http-on-tcp": entry(
    "the rule asks for HTTP attributes where a port carries other bytes: an ALLOW rule never matches there, and of a DENY rule that clause is dropped",
    "name the ports that are meant, or let the rule ask for callers and ports alone",
  ),
  "deny-on-any-port": entry(
    "a DENY rule with HTTP attributes names no port: on TCP ports of its scope it denies its callers everything",
    "name the HTTP ports in the operation",
  ),
  "no-request-authentication": entry(
    "the rule asks for what a token says (requestPrincipals, request.auth) where no RequestAuthentication is there for its workloads: every request is one without a token",
    "write the RequestAuthentication, or look for its namespace and selector",
  ),
  "unknown-provider": entry(
    "the mesh has no extension provider of the CUSTOM policy's name: what the policy matches is denied",
    "compare the name with `extensionProviders` of the mesh file",
  ),
  "several-providers": entry(
    "CUSTOM policies of one workload name several extension providers: nobody is asked, and what they match is denied",
    "let all CUSTOM policies of a workload ask one provider",
  ),
  "http-provider-on-tcp": entry(
    "the CUSTOM policy's provider speaks HTTP, and a port that it reaches carries other bytes: what it matches there is denied",
    "name the HTTP ports in the operation, or take a provider that speaks gRPC",
  ),
  "no-identity-there": entry(
    "the rule asks who calls, on ports alone where a PeerAuthentication says DISABLE: nobody has an identity there, and it never matches",
    "ask for addresses there, or turn mutual TLS on",
  ),
  "plaintext-gets-by": entry(
    "the DENY or CUSTOM rule asks who calls, on a port where plaintext is let in: a caller without identity is not matched",
    'let the PeerAuthentication say STRICT, or deny callers without identity, too (`notPrincipals: ["*"]`)',
  ),
  "grant-ended": entry(
    "the grant has ended: the policy's rules match nothing any more",
    "take the policy out, or ask for the grant anew with another end and ticket",
  ),
  "grant-ends-soon": entry("the grant ends within seven days", "ask for it anew if it is still needed"),
  "break-glass": entry(
    "the policy breaks the glass: it is for an emergency, and lies in the set",
    "take it out when the emergency is over; it ends by itself in any case",
  ),
  "wildcard-inside": entry(
    "a * stands where it is a letter like others",
    "a * is a wildcard at the very start or the very end; paths have {*} and {**} besides",
  ),
  "host-without-port": entry(
    "a host that takes access away does not match the same host with a port",
    "add the host with `:*`",
  ),
  "no-workload-identity": entry(
    "the principal is not of the shape that workloads have",
    "write <trust domain>/ns/<namespace>/sa/<service account>",
  ),
  "no-namespace": entry("the namespace is not given, so it is `default`", "write metadata.namespace"),
  "empty-selector": entry(
    "the selector has no labels, so it selects every workload of the namespace",
    "leave the selector out if that is meant",
  ),
} as const satisfies Record<string, FindingEntry>;

export type FindingCode = keyof typeof POLICY_FINDINGS;

function entry(means: string, mend: string): FindingEntry {
  return { means, mend };
}

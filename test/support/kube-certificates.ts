import { generateKeyPairSync } from "node:crypto";
import forge from "node-forge";

/** What an API server and the one who administers it need; RSA, since forge writes no other. */
export interface KubeCertificates {
  readonly caPem: string;
  readonly server: PemPair;
  /** Of group system:masters: it may do everything. */
  readonly admin: PemPair;
  /** Signs the tokens of service accounts. */
  readonly serviceAccounts: PemPair;
}

export interface PemPair {
  readonly certPem: string;
  readonly keyPem: string;
}

const DAY_MS = 86_400_000;

export function createKubeCertificates(): KubeCertificates {
  const ca = keys();
  const caName = [{ name: "commonName", value: "cardea-test-kubernetes" }];
  const caCert = certificate(ca, caName, caName, ca, [
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
  ]);
  const serverKeys = keys();
  const serverName = [{ name: "commonName", value: "kube-apiserver" }];
  const server = certificate(serverKeys, serverName, caName, ca, [
    { name: "extKeyUsage", serverAuth: true },
    {
      name: "subjectAltName",
      altNames: [
        { type: 7, ip: "127.0.0.1" },
        { type: 2, value: "localhost" },
        { type: 2, value: "kubernetes.default.svc" },
      ],
    },
  ]);
  const adminKeys = keys();
  const adminName = [
    { name: "commonName", value: "admin" },
    { name: "organizationName", value: "system:masters" },
  ];
  const admin = certificate(adminKeys, adminName, caName, ca, [{ name: "extKeyUsage", clientAuth: true }]);
  const accounts = keys();
  return {
    caPem: caCert,
    server: { certPem: server, keyPem: serverKeys.privatePem },
    admin: { certPem: admin, keyPem: adminKeys.privatePem },
    serviceAccounts: { certPem: accounts.publicPem, keyPem: accounts.privatePem },
  };
}

interface RsaKeys {
  readonly publicPem: string;
  readonly privatePem: string;
}

/** By the platform: forge would take seconds. */
function keys(): RsaKeys {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return { publicPem: publicKey, privatePem: privateKey };
}

type Name = forge.pki.CertificateField[];

// oxlint-disable-next-line eslint/max-params
function certificate(own: RsaKeys, subject: Name, issuer: Name, signer: RsaKeys, extensions: object[]): string {
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.publicKeyFromPem(own.publicPem);
  cert.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
  cert.validity.notBefore = new Date(Date.now() - DAY_MS);
  cert.validity.notAfter = new Date(Date.now() + 30 * DAY_MS);
  cert.setSubject(subject);
  cert.setIssuer(issuer);
  cert.setExtensions(extensions);
  cert.sign(forge.pki.privateKeyFromPem(signer.privatePem), forge.md.sha256.create());
  return forge.pki.certificateToPem(cert);
}

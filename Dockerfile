# The image of all roles: `cardea proxy` beside an app, `cardea redirect` before it, `cardea control` in the cluster.
# deploy/image/build.sh builds it, the same to the byte each time; docs/adr/0027-one-image-made-of-named-packages.md says
# why it is made like this. Nothing is run that is of the image's architecture: any can be made on any other.

# Debian 12 with apt and npm; what is in it does not get into the image. deploy/image/local-base.sh makes one without a
# registry.
ARG BUILD_IMAGE=docker.io/library/node:26-bookworm-slim

# --- The program, and the packages that it runs on: those of package-lock.json, Node among them.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS program
WORKDIR /cardea
COPY package.json package-lock.json .npmrc ./
# Both secrets are optional: the registry's settings, and who else vouches for it.
ENV NPM_CONFIG_USERCONFIG=/run/secrets/npmrc NODE_EXTRA_CA_CERTS=/run/secrets/ca
RUN --mount=type=secret,id=npmrc,target=/run/secrets/npmrc --mount=type=secret,id=ca,target=/run/secrets/ca npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json tsconfig.build-ui.json rolldown.config.js ./
COPY bin ./bin
COPY src ./src
RUN npm run build
ARG TARGETARCH
COPY deploy/image/runtime.sh deploy/image/prune-packages.sh deploy/image/
RUN --mount=type=secret,id=npmrc,target=/run/secrets/npmrc --mount=type=secret,id=ca,target=/run/secrets/ca \
    bash deploy/image/runtime.sh "$TARGETARCH" /made

# --- The system below it: files of Debian's packages.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS system
COPY deploy/image/system.sh deploy/image/packages.txt deploy/image/packages.lock /build/
ARG TARGETARCH
RUN case "$TARGETARCH" in "$(dpkg --print-architecture)") ;; *) dpkg --add-architecture "$TARGETARCH" ;; esac \
 && apt-get -qq update && bash /build/system.sh "$TARGETARCH" /made

# --- Nothing but what was named.
FROM scratch
COPY --from=system /made/ /
COPY --from=program /made/node /usr/local/bin/node
COPY --from=program /made/cardea/ /cardea/
# As src/core/image.ts has it.
ENV MALLOC_ARENA_MAX=1 NODE_NO_WARNINGS=1
USER 65532:65532
WORKDIR /
LABEL org.opencontainers.image.title="Cardea" \
      org.opencontainers.image.description="A zero-trust service mesh: sidecar, control plane and redirection" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/local/bin/node", "--disable-sigusr1", "--max-semi-space-size=8", "/cardea/bin/cardea.js"]
CMD ["--help"]

# The image of both planes: `cardea proxy` beside an app, `cardea control` in the cluster.
# Written for the public images below; building and running it is proved when the cluster part lands.

# The same Node as the npm runtime packages of package.json, from its own project.
FROM node:26-bookworm-slim AS build
WORKDIR /cardea
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json rolldown.config.js ./
COPY src ./src
COPY bin ./bin
RUN npm run build
# Without the development tools, and without the runtime package: the image below brings its own Node.
RUN npm ci --omit=dev --omit=optional

# glibc and certificates only: no shell, no package manager, uid 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /cardea
COPY --from=build /cardea/package.json ./
COPY --from=build /cardea/node_modules ./node_modules
COPY --from=build /cardea/bin ./bin
COPY --from=build /cardea/dist ./dist
USER 65532:65532
# No inspector by signal: whoever may signal the process may not look into it.
ENTRYPOINT ["/usr/local/bin/node", "--disable-sigusr1", "/cardea/bin/cardea.js"]
CMD ["--help"]

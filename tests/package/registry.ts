/**
 * An npm registry on this machine that has one package, in the one version that was just packed.
 */

/** The files that `./tdsm pack` makes. */
export interface Package {
  /** The path of the tarball. */
  readonly tarball: string;
  /** The path of the single file. */
  readonly single: string;
  /** The content of the tarball's `package.json`. */
  readonly manifest: Readonly<Record<string, unknown>>;
}

/** The registry, while it runs. */
export class Registry implements AsyncDisposable {
  /** The URL of the registry. */
  readonly url: string;
  /** The version of the package. */
  readonly version: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(version: string, server: Deno.HttpServer<Deno.NetAddr>) {
    this.version = version;
    this.#server = server;
    this.url = `http://127.0.0.1:${server.addr.port}`;
  }

  /**
   * Starts a registry.
   *
   * @param packed The package that the registry offers.
   * @returns The registry.
   */
  static async of({ tarball, manifest }: Package): Promise<Registry> {
    const bytes = await Deno.readFile(tarball);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-512", bytes)).toBase64();
    const name = String(manifest["name"]);
    const version = String(manifest["version"]);
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
      const { origin, pathname } = new URL(url);
      if (pathname === "/package.tgz") return new Response(bytes);
      if (decodeURIComponent(pathname) !== `/${name}`) return new Response(null, { status: 404 });
      const dist = { tarball: `${origin}/package.tgz`, integrity: `sha512-${hash}` };
      return Response.json({
        name,
        "dist-tags": { latest: version },
        versions: { [version]: { ...manifest, dist } },
      });
    });
    return new Registry(version, server);
  }

  /** Ends the registry. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

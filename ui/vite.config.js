import { defineConfig } from "vite";

// The page is served under a policy that allows nothing inline and nothing from elsewhere: every asset is a file.
export default defineConfig({
  base: "/",
  build: {
    outDir: process.env.RAGSTONE_PAGE_OUT ?? "../src/ragstone/server/web",
    emptyOutDir: true,
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    sourcemap: false,
  },
});

/** esbuild's text loader turns the shell script into a string (esbuild.config.mjs). */
declare module '*.sh' {
  const text: string;
  export default text;
}

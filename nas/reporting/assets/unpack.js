// Unpacks plotly.js, which stands in the page as a third of its size, and runs it before anything else.
if ("DecompressionStream" in window) {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
} else {
  document.getElementById("too-old").hidden = false;
}

//! The repository's style, measured: comments and names (`prose`), and the links of the documents (`links`).

mod links;
mod prose;
mod sources;

//! The repository's style, measured: comments and names (`prose`), circles between modules (`circles`), and the links of the
//! documents (`links`).

mod circles;
mod links;
mod prose;
mod sources;

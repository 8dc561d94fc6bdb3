//! The repository's style, measured: comments and names (`prose`), circles between modules (`circles`), the glossary, and the
//! links of the documents (`links`).

mod circles;
mod glossary;
mod links;
mod prose;
mod sources;

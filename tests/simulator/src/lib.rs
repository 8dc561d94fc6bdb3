//! The simulator is the test binary `chaos` of this package. It has no code for others, so that nothing that it needs
//! (tokio's paused clock) gets into what is shipped.

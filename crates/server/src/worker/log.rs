//! The log of a worker, which it writes to its standard error, and which a publisher's media may have taken over.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Bytes of a line that are kept; GStreamer's longest messages have a few hundred bytes.
const MAX_LINE_BYTES: u64 = 2_048;
/// Lines of one worker that are kept: a healthy one says nothing, a failing one a handful.
const MAX_LOGGED_LINES: usize = 200;

/// Logs the lines until there are no more.
pub(super) async fn log_lines(stderr: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(stderr);
    let mut count = 0;
    while let Some(line) = read_line(&mut reader).await {
        count += 1;
        match count {
            ..=MAX_LOGGED_LINES => tracing::warn!(target: "headwater::worker", "{line}"),
            // It is read on, so that the worker does not wait for its pipe.
            count if count == MAX_LOGGED_LINES + 1 => {
                tracing::warn!(target: "headwater::worker", "it says more, which is not logged");
            }
            _ => {}
        }
    }
}

/// The next line, cut; none at the end.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    let length = reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await.ok()?;
    if length == 0 {
        return None;
    }
    match line.pop_if(|last| *last == b'\n') {
        None if length as u64 == MAX_LINE_BYTES => {
            skip_line(reader).await;
            Some(format!("{} … (cut)", String::from_utf8_lossy(&line)))
        }
        _ => Some(String::from_utf8_lossy(&line).into_owned()),
    }
}

/// Reads on to the line's end without keeping it.
async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) {
    while let Ok(bytes) = reader.fill_buf().await {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        let is_over = end.is_some() || bytes.is_empty();
        reader.consume(length);
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let long = "x".repeat(MAX_LINE_BYTES as usize * 10);
        let text = format!("{long}\nshort\n\nlast");
        let mut reader = BufReader::with_capacity(64, text.as_bytes());
        let first = read_line(&mut reader).await.unwrap();
        assert!(first.len() < MAX_LINE_BYTES as usize + 20 && first.ends_with("(cut)"));
        assert_eq!(read_line(&mut reader).await.as_deref(), Some("short"));
        assert_eq!(read_line(&mut reader).await.as_deref(), Some(""));
        assert_eq!(read_line(&mut reader).await.as_deref(), Some("last"));
        assert_eq!(read_line(&mut reader).await, None);
    }
}

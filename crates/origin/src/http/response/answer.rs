//! From what a handler found to a response: validators, ranges, `HEAD`, and the headers that every answer has.

use bytes::Bytes;
use headwater_runtime::http::{PROBLEM_JSON, ProblemDetails};
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::{Body, Pieces, Reader};
use super::cache::Cache;
use super::conditions::{is_held, wanted_range};
use super::problem::Problem;
use super::range::Wanted;
use crate::representation::etag;

/// A whole answer, before the request's conditions and ranges are looked at.
pub(crate) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    cache: Cache,
    etag: Option<HeaderValue>,
    /// Whether byte ranges of it make sense.
    ranges: bool,
    /// Beside those of every answer.
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
}

impl Answer {
    pub(crate) fn new(content_type: &'static str, cache: Cache, body: Bytes) -> Self {
        let status = StatusCode::OK;
        let body = body.into();
        Self { status, content_type, cache, etag: None, ranges: false, headers: Vec::new(), body }
    }

    /// Media of the live window: never changes, and may be asked for in ranges.
    pub(crate) fn media(content_type: &'static str, pieces: &[Bytes]) -> Self {
        let answer = Self::new(content_type, Cache::Immutable, Bytes::new()).etag(etag::of_media(pieces));
        Self { ranges: true, body: pieces.iter().cloned().collect(), ..answer }
    }

    /// Media of the live window that is still being made. What it will be is not known yet: there is no tag, no length
    /// and no range of it.
    pub(crate) fn partial_segment(content_type: &'static str, parts: Pieces) -> Self {
        Self { body: Body::growing(parts), ..Self::new(content_type, Cache::Immutable, Bytes::new()) }
    }

    /// A large file that is read as it is sent, and may be asked for in ranges.
    pub(crate) fn read(content_type: &'static str, cache: Cache, length: u64, reader: Reader) -> Self {
        Self {
            ranges: true,
            body: Body::read(length, reader),
            ..Self::new(content_type, cache, Bytes::new())
        }
    }

    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same answer with another body.
    pub(crate) fn content(self, content_type: &'static str, body: Bytes) -> Self {
        Self { content_type, body: body.into(), ..self }
    }

    pub(crate) fn etag(self, etag: HeaderValue) -> Self {
        Self { etag: Some(etag), ..self }
    }

    pub(crate) fn headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The response to a request with this method and these headers, whose memory the response's headers take over.
    pub(crate) fn respond(self, method: &Method, request: HeaderMap) -> Response<Body> {
        let answer = match self.etag.as_ref() {
            Some(tag) if is_held(&request, tag) => self.not_modified(),
            _ if self.ranges => self.ranged(&request),
            _ => self,
        };
        answer.finish(method, request)
    }

    fn not_modified(self) -> Self {
        Self { status: StatusCode::NOT_MODIFIED, body: Body::default(), ..self }
    }

    fn ranged(self, request: &HeaderMap) -> Self {
        let Some(length) = self.body.len() else { return self };
        match wanted_range(request, self.etag.as_ref(), length) {
            Wanted::Whole => self,
            Wanted::Unsatisfiable => Problem::Range(length).into(),
            Wanted::Part(range) => {
                let shown = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let shown = HeaderValue::try_from(shown).expect("digits are visible ASCII");
                let partial =
                    Self { status: StatusCode::PARTIAL_CONTENT, body: self.body.slice(range), ..self };
                partial.headers([(CONTENT_RANGE, shown)])
            }
        }
    }

    fn finish(self, method: &Method, mut headers: HeaderMap) -> Response<Body> {
        headers.clear();
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        common_headers(&mut headers);
        headers.insert(CACHE_CONTROL, self.cache.into());
        if let Some(etag) = self.etag {
            headers.insert(ETAG, etag);
        }
        if self.ranges {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if self.status != StatusCode::NOT_MODIFIED && self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            if let Some(length) = self.body.len() {
                headers.insert(CONTENT_LENGTH, length.into());
            }
        }
        let body = if *method == Method::HEAD { Body::default() } else { self.body };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let details =
            ProblemDetails::new(problem.status(), problem.name(), problem.title(), problem.detail());
        let answer = Self::new(PROBLEM_JSON, problem.cache(), details.to_json().into());
        answer.status(problem.status()).headers(problem.header())
    }
}

/// Any page may read what is here, errors included, and time it.
fn common_headers(headers: &mut HeaderMap) {
    const EXPOSED_HEADERS: &str = "Content-Length, Content-Range, Date, ETag, Retry-After, Age";
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

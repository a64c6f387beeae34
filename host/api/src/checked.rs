//! Bytes that have to be those of a digest.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};

/// Passes bytes on. If their SHA-256 turns out not to be `saved` (in hexadecimal), then `wrong` is told what it is, and says the error
/// with which the stream ends, if it is to end with one.
pub fn checked<E: Send + 'static>(
    bytes: BoxStream<'static, Result<Bytes, E>>,
    saved: String,
    wrong: impl FnOnce(String) -> Option<E> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, E>> {
    stream::unfold((bytes, Some((Sha256::new(), saved, wrong))), |(mut bytes, check)| async {
        let (mut hash, saved, wrong) = check?;
        match bytes.next().await {
            Some(Ok(chunk)) => {
                hash.update(&chunk);
                Some((Ok(chunk), (bytes, Some((hash, saved, wrong)))))
            }
            Some(Err(error)) => Some((Err(error), (bytes, None))),
            None => {
                let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                let error = if found == saved { None } else { wrong(found) };
                error.map(|error| (Err(error), (bytes, None)))
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AB: &str = "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603";

    async fn through(saved: &str) -> Vec<Result<Bytes, String>> {
        let bytes = stream::iter(["a", "b"].map(|text| Ok(Bytes::from(text)))).boxed();
        checked(bytes, saved.to_owned(), Some).collect().await
    }

    #[tokio::test]
    async fn the_right_bytes_pass() {
        assert_eq!(through(AB).await, ["a", "b"].map(|text| Ok(Bytes::from(text))));
    }

    #[tokio::test]
    async fn wrong_bytes_end_with_an_error() {
        let through = through("0123").await;
        assert_eq!(through.len(), 3);
        assert_eq!(through[2], Err(AB.to_owned()));
    }
}

use std::pin::Pin;

/// A future on the heap, for methods of traits that are used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

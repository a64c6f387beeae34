//! Registries that give nobody an image.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A registry on this machine.
pub struct Registry {
    port: u16,
}

impl Registry {
    /// One that takes connections and never says a word.
    pub fn silent() -> Self {
        // Held, not closed.
        let mut held = Vec::new();
        Self::serve(move |stream| held.push(stream))
    }

    /// One that answers every request with this status line and these header lines.
    pub fn answering(head: &'static str) -> Self {
        Self::serve(move |mut stream| {
            let mut first = [0; 1024];
            // A client that tries TLS first is not answered, and comes again without.
            if matches!(stream.read(&mut first), Ok(read) if read > 0 && first[0] != 0x16) {
                let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
                let _ = stream.write_all(answer.as_bytes());
            }
        })
    }

    /// The name of an image that it would have.
    pub fn image(&self) -> String {
        format!("localhost:{}/team/tool:1", self.port)
    }

    fn serve(mut answer: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        thread::spawn(move || socket.incoming().map_while(Result::ok).for_each(&mut answer));
        Self { port }
    }
}

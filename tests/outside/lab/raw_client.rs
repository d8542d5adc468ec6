//! A client that can vanish: the few messages of the wire protocol that sending a query and
//! reading some of its answer take, over a socket that is simply closed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Lab;

pub struct RawClient(UnixStream);

impl RawClient {
    /// A superuser's connection to the lab's stage.
    pub fn connect(lab: &Lab) -> Self {
        let server = &lab.pair.stage;
        let socket = server.home().join(format!(".s.PGSQL.{}", server.port()));
        let mut stream = UnixStream::connect(socket).expect("the stage's socket");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a read timeout");
        let parameters = format!("user\0postgres\0database\0{}\0\0", lab.db);
        let length = u32::try_from(parameters.len() + 8).expect("a short message");
        let protocol_3: u32 = 3 << 16;
        stream.write_all(&length.to_be_bytes()).expect("startup");
        stream.write_all(&protocol_3.to_be_bytes()).expect("startup");
        stream.write_all(parameters.as_bytes()).expect("startup");
        let mut client = Self(stream);
        client.read_until(b'Z');
        client
    }

    /// Sends a simple query and does not wait for its answer.
    pub fn send(&mut self, sql: &str) {
        let length = u32::try_from(sql.len() + 5).expect("a short query");
        self.0.write_all(b"Q").expect("the query is sent");
        self.0.write_all(&length.to_be_bytes()).expect("the query is sent");
        self.0.write_all(sql.as_bytes()).expect("the query is sent");
        self.0.write_all(b"\0").expect("the query is sent");
    }

    /// Reads messages up to and with the first of this kind: `D` a row, `Z` ready.
    pub fn read_until(&mut self, kind: u8) {
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).expect("the stage answers");
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).expect("the stage answers");
            assert!(head[0] != b'E', "refused: {}", String::from_utf8_lossy(&body));
            if head[0] == kind {
                return;
            }
        }
    }
}

//! nginx as it is usually put before an HTTP service: a keep-alive reverse proxy with one worker for each processor.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::options::Tools;
use crate::process::Process;

const START_MAX: Duration = Duration::from_secs(10);

/// A running nginx.
pub struct Nginx {
    /// The master and its workers.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it from a configuration of its own in `folder`; the system's nginx, if there is one, is left alone.
    pub async fn start(
        tools: &Tools,
        folder: &Path,
        upstream: SocketAddr,
    ) -> Result<Self, BenchError> {
        let home = folder.join("nginx");
        let made = std::fs::create_dir_all(&home).and_then(|()| free_port());
        let address = made.map_err(|source| BenchError::io("nginx has no place", source))?;
        let config = home.join("nginx.conf");
        std::fs::write(&config, text(&home, address, upstream))
            .map_err(|source| BenchError::io("nginx's configuration cannot be written", source))?;
        let mut command = Command::new(&tools.nginx);
        command
            .arg("-p")
            .arg(&home)
            .arg("-e")
            .arg("stderr")
            .arg("-c")
            .arg(&config);
        let mut process = Process::start("nginx", folder, &mut command, Stdio::null())?;
        let until = Instant::now() + START_MAX;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            process.check()?;
            if Instant::now() > until {
                return Err(BenchError::failed("nginx does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { process, address })
    }
}

/// nginx cannot say which port it was given, so it is told one that was free a moment ago.
fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn text(home: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let home = home.display();
    format!(
        "daemon off;
worker_processes auto;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream bench {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"
    )
}

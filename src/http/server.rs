//! Connections: accepted, decrypted, limited in number and patience, and handed to the routes.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Redirect, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::busy::{Answer, Busy};
use super::caller::{PATIENCE, Peers};
use super::house::{App, House, Sources};
use super::router::router;

/// Connections at a time. More wait until one ends.
const CONNECTIONS: usize = 64;
/// A connection on which nothing is asked for so long is closed where another one waits.
const IDLE: Duration = Duration::from_secs(1);
/// So often is looked for one while another waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Bytes of a head.
const HEAD: usize = 16 << 10;
/// Pause after the system could not accept a connection: it has no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How long requests in progress may take once the page is closed; one may be what closes it.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Serves the page until `closed` is dropped at its other end; then lets requests in progress end.
pub async fn serve(listener: TcpListener, sources: Sources, closed: oneshot::Receiver<()>) {
    let house = sources.house.clone();
    let app = App::new(sources);
    let router = router(app.clone());
    let closing = watch::Sender::new(false);
    let crowded = watch::Sender::new(());
    let routes = Routes { router, house, closing: closing.subscribe(), crowded: crowded.subscribe() };
    let mut connections = JoinSet::new();
    tokio::select! {
        () = app.keep_history() => {}
        () = accept(listener, &mut connections, &routes, &crowded) => {}
        _ = closed => {}
    }
    closing.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(END_WITHIN, ended).await.is_err() {
        tracing::debug!("{} connections to the closed page are given up", connections.len());
    }
}

/// Takes connections, without end.
async fn accept(listener: TcpListener, connections: &mut JoinSet<()>, routes: &Routes, crowded: &watch::Sender<()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let place = loop {
            match timeout(LOOK_EVERY, Arc::clone(&room).acquire_owned()).await {
                Ok(Ok(place)) => break place,
                Ok(Err(_)) => return,
                Err(_) => {
                    crowded.send_replace(());
                }
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("the page cannot accept a connection: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (tls, routes) = (routes.house.borrow().settings.tls.clone(), routes.clone());
        connections.spawn(async move {
            let carried = match tls {
                None => carry_plain(stream, routes).await,
                Some(tls) => carry_tls(stream, tls, routes).await,
            };
            if let Err(error) = carried {
                tracing::debug!("a connection to the page ended: {error}");
            }
            drop(place);
        });
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where the requests of a connection go.
#[derive(Clone)]
struct Routes {
    router: Router,
    house: watch::Receiver<Arc<House>>,
    /// Becomes true when the page closes.
    closing: watch::Receiver<bool>,
    /// Changes where another connection waits.
    crowded: watch::Receiver<()>,
}

async fn carry_plain(stream: TcpStream, routes: Routes) -> Result<(), Failure> {
    let peers = peers(&stream)?;
    carry(stream, peers, routes).await
}

async fn carry_tls(stream: TcpStream, tls: TlsAcceptor, routes: Routes) -> Result<(), Failure> {
    let peers = peers(&stream)?;
    let stream = timeout(PATIENCE, tls.accept(stream)).await??;
    carry(stream, peers, routes).await
}

fn peers(stream: &TcpStream) -> io::Result<Peers> {
    stream.set_nodelay(true)?;
    Ok(Peers { peer: stream.peer_addr()?.ip(), own: stream.local_addr()?.ip() })
}

async fn carry(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    peers: Peers,
    Routes { router, house, mut closing, mut crowded }: Routes,
) -> Result<(), Failure> {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(PATIENCE));
    let busy = Busy::new();
    let of_this = busy.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peers);
        let asked = of_this.begin();
        let answer = answer(request, house.borrow().settings.http.path.clone(), router.clone());
        async { answer.await.map(|answer| answer.map(|body| Answer { body, _asked: asked })) }
    });
    let given_up = async move { while crowded.changed().await.is_ok() && busy.idle() < IDLE {} };
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD);
    let mut connection = pin!(connection.serve_connection(TokioIo::new(Box::pin(stream)), service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = given_up => return Ok(()),
        _ = closing.wait_for(|closing| *closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

async fn answer(mut request: Request, prefix: String, router: Router) -> Result<Response, Infallible> {
    if !prefix.is_empty() && request.uri().path() == prefix {
        // The links of a page start at the folder that it is in. Told by its last part alone, it is found behind
        // whatever another proxy puts before it.
        let folder = prefix.rsplit('/').next().unwrap_or_default();
        return Ok(Redirect::permanent(&format!("{folder}/")).into_response());
    }
    without_prefix(&mut request, &prefix);
    router.oneshot(request).await
}

/// Takes away what a proxy leaves before each path. A proxy that takes it away itself needs nothing.
fn without_prefix(request: &mut Request, prefix: &str) {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let Some(rest) = path.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && rest.starts_with('/')) else {
        return;
    };
    if let Ok(rest) = rest.parse() {
        *request.uri_mut() = rest;
    }
}

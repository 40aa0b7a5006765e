#include "server/http/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace {

Task<error_code> Connection::Connect(asio::ip::tcp::endpoint endpoint) {
  error_code error;
  co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (!error) socket_.non_blocking(true, error);
  if (!error) socket_.set_option(asio::ip::tcp::no_delay(true), error);
  co_return error;
}

Task<error_code> Connection::Secure(asio::ssl::context& tls, const HttpUrl& url) {
  tls_.emplace(socket_, tls);
  SSL* const ssl = tls_->native_handle();
  SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);  // a connection that waits holds none
  if (!url.host_is_address) SSL_set_tlsext_host_name(ssl, url.host.c_str());
  tls_->set_verify_callback(asio::ssl::host_name_verification(url.host));
  error_code error;
  co_await tls_->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
  co_return error;
}

Task<Transfer> Connection::Write(std::string_view head, std::string_view body) {
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
  Transfer transfer;
  if (tls_) {
    transfer.bytes =
        co_await tls_->async_write_some(buffers, asio::redirect_error(asio::use_awaitable, transfer.error));
    co_return transfer;
  }
  while (true) {
    transfer.bytes = socket_.write_some(buffers, transfer.error);
    if (transfer.error != asio::error::would_block) co_return transfer;
    co_await socket_.async_wait(asio::socket_base::wait_write,
                                asio::redirect_error(asio::use_awaitable, transfer.error));
    if (transfer.error) co_return transfer;
  }
}

Task<Transfer> Connection::Read(char* bytes, size_t size) {
  Transfer transfer;
  if (tls_) {
    // Waits with a byte of its own; the rest of the record is decrypted and there.
    char first = 0;
    transfer.bytes = co_await tls_->async_read_some(asio::buffer(&first, 1),
                                                    asio::redirect_error(asio::use_awaitable, transfer.error));
    if (transfer.bytes == 0) co_return transfer;
    bytes[0] = first;
    SSL* const ssl = tls_->native_handle();
    const auto pending = static_cast<size_t>(std::max(SSL_pending(ssl), 0));
    const size_t wanted = std::min(pending, size - 1);
    if (wanted > 0)
      transfer.bytes += static_cast<size_t>(std::max(SSL_read(ssl, bytes + 1, static_cast<int>(wanted)), 0));
    co_return transfer;
  }
  while (true) {
    transfer.bytes = socket_.read_some(asio::buffer(bytes, size), transfer.error);
    if (transfer.error != asio::error::would_block) co_return transfer;
    co_await socket_.async_wait(asio::socket_base::wait_read,
                                asio::redirect_error(asio::use_awaitable, transfer.error));
    if (transfer.error) co_return transfer;
  }
}

bool Connection::IsQuiet() {
  char byte = 0;
  const ssize_t seen = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Connection::Close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace millrace

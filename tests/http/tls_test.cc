#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/http/sending.h"
#include "tests/http/toxic_server.h"

namespace millrace {
namespace {

using testing::HasSubstr;

// A key, and a self-signed certificate for a host name in a file that a client may trust.
class Identity {
 public:
  explicit Identity(const std::string& name) {
    key_ = EVP_EC_gen("P-256");
    certificate_ = X509_new();
    X509_set_version(certificate_, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 3600);
    X509_set_pubkey(certificate_, key_);
    X509_NAME* const subject = X509_get_subject_name(certificate_);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate_, subject);
    X509_EXTENSION* const names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + name).c_str());
    X509_add_ext(certificate_, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate_, key_, EVP_sha256());
    const int file = ::mkstemp(path_.data());
    FILE* const stream = ::fdopen(file, "w");
    PEM_write_X509(stream, certificate_);
    std::fclose(stream);
  }
  ~Identity() {
    ::unlink(path_.c_str());
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  const std::string& path() const { return path_; }

  // Serves requests over TLS. `version_max` is the newest version that the server offers.
  ToxicServer::Serve Serve(int version_max, std::string& server_name,
                           std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") const {
    return [this, version_max, &server_name, answer](ToxicConnection& connection, int) {
      SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
      SSL_CTX_set_security_level(context, 0);
      SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
      SSL_CTX_set_max_proto_version(context, version_max);
      SSL_CTX_use_certificate(context, certificate_);
      SSL_CTX_use_PrivateKey(context, key_);
      SSL* const ssl = SSL_new(context);
      SSL_set_fd(ssl, connection.socket());
      if (SSL_accept(ssl) == 1) {
        const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        server_name = name == nullptr ? "" : name;
        char bytes[4096];
        while (SSL_read(ssl, bytes, sizeof bytes) > 0) SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
      }
      SSL_free(ssl);
      SSL_CTX_free(context);
    };
  }

 private:
  std::string path_ = "/tmp/millrace-certificate-XXXXXX";
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
};

std::string Url(const ToxicServer& server, std::string_view host) {
  return fmt::format("https://{}:{}/", host, server.port());
}

TEST(TlsTest, ConnectsToATrustedServerOfTheRightName) {
  const Identity identity("localhost");
  std::string name;
  ToxicServer server(identity.Serve(TLS1_3_VERSION, name));
  Sender sender({.idle_max = std::chrono::seconds(30), .ca_file = identity.path()});
  const Sent first = sender.Send(Url(server, "localhost"));
  EXPECT_EQ(first.outcome, HttpOutcome::kAnswered) << first.error;
  EXPECT_EQ(first.body, "hi");
  EXPECT_EQ(name, "localhost");
  EXPECT_TRUE(sender.Send(Url(server, "localhost")).reused_connection);
}

// Records of TLS are read in two steps; see Connection::Read.
TEST(TlsTest, ReadsAnswersOfAnySize) {
  const Identity identity("localhost");
  std::string name;
  std::string body;
  for (int i = 0; body.size() < 1'000'000; ++i) body += fmt::format("{} ", i);
  for (const size_t size : {size_t{1}, size_t{16'384}, size_t{16'385}, body.size()}) {
    const std::string_view part = std::string_view(body).substr(0, size);
    ToxicServer server(identity.Serve(TLS1_3_VERSION, name,
                                      fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", size, part)));
    Sender sender({.idle_max = std::chrono::seconds(30), .ca_file = identity.path()});
    const Sent sent = sender.Send(Url(server, "localhost"));
    EXPECT_EQ(sent.outcome, HttpOutcome::kAnswered) << sent.error;
    EXPECT_EQ(sent.body, part);
  }
}

TEST(TlsTest, ReadsCertificatesOnceAndOnlyForTls) {
  const Identity identity("localhost");
  std::string name;
  ToxicServer secure(identity.Serve(TLS1_3_VERSION, name));
  ToxicServer plain([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
  });
  Sender sender({.idle_max = Duration(0), .ca_file = identity.path()});
  EXPECT_EQ(sender.Send(plain.url()).body, "hi");
  EXPECT_EQ(sender.works(), 0);
  for (int i = 0; i < 2; ++i) {
    const Sent result = sender.Send(Url(secure, "localhost"));
    EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
    EXPECT_FALSE(result.reused_connection);
  }
  EXPECT_EQ(sender.works(), 1);
}

TEST(TlsTest, SendsNothingToAnUntrustedServer) {
  const Identity localhost("localhost");
  const Identity other("other.example");
  std::string name;
  ToxicServer trusted(localhost.Serve(TLS1_3_VERSION, name));
  ToxicServer misnamed(other.Serve(TLS1_3_VERSION, name));
  ToxicServer old(localhost.Serve(TLS1_1_VERSION, name));
  ToxicServer plain([](ToxicConnection& connection, int) { connection.Write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  Sender knows_none;
  Sender knows_localhost({.idle_max = std::chrono::seconds(30), .ca_file = localhost.path()});
  Sender knows_other({.idle_max = std::chrono::seconds(30), .ca_file = other.path()});
  for (const Sent& result :
       {knows_none.Send(Url(trusted, "localhost")), knows_localhost.Send(Url(trusted, "127.0.0.1")),
        knows_other.Send(Url(misnamed, "localhost")), knows_localhost.Send(Url(old, "localhost")),
        knows_localhost.Send(Url(plain, "localhost"))}) {
    EXPECT_EQ(result.outcome, HttpOutcome::kNotSent);
    EXPECT_EQ(result.bytes_sent, 0u);
    EXPECT_THAT(result.error, HasSubstr("TLS to "));
  }
}

}  // namespace
}  // namespace millrace

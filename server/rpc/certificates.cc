#include "server/rpc/certificates.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "server/base/text_file.h"

namespace millrace {
namespace {

constexpr size_t kFileMibMax = 1;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// Returns whether the text has certificates, and nothing but certificates that can be read.
bool HasCertificates(const std::string& pem) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  int count = 0;
  while (std::unique_ptr<X509, FreeX509>(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) != nullptr) ++count;
  const bool is_at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return count > 0 && is_at_end;
}

}  // namespace

StatusOr<std::string> ReadCertificates(const std::string& path) {
  MR_ASSIGN_OR_RETURN(std::string pem, ReadTextFile(path, kFileMibMax));
  if (!HasCertificates(pem)) {
    return MakeError(Reason::kInvalidDefinition,
                     fmt::format("{} is not a PEM file of certificates", Excerpt(path, 256)));
  }
  return pem;
}

}  // namespace millrace

// A key and a self-signed certificate, for servers of tests.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace millrace {

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
  Identity(const Identity&) = delete;
  const std::string& path() const { return path_; }
  EVP_PKEY* key() const { return key_; }
  X509* certificate() const { return certificate_; }

  // Return both in PEM form.
  std::string KeyPem() const {
    return Text([this](BIO* bio) { PEM_write_bio_PrivateKey(bio, key_, nullptr, nullptr, 0, nullptr, nullptr); });
  }
  std::string CertificatePem() const {
    return Text([this](BIO* bio) { PEM_write_bio_X509(bio, certificate_); });
  }

 private:
  template <typename Write>
  static std::string Text(Write write) {
    BIO* const bio = BIO_new(BIO_s_mem());
    write(bio);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio, &bytes);
    std::string text(bytes, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
  }

  std::string path_ = testing::TempDir() + "millrace-certificate-XXXXXX";
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
};

}  // namespace millrace

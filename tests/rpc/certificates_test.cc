#include "server/rpc/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/http/identity.h"
#include "tests/storage/temporary_directory.h"

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(CertificatesTest, OnlyAFileOfCertificatesIsRead) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/ca.pem";
  const Identity identity("localhost");
  const std::string pem = identity.CertificatePem();
  for (const std::string& good : {pem, "My authority\n" + pem + pem + "\n"}) {
    std::ofstream(path) << good;
    const StatusOr<std::string> read = ReadCertificates(path);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, good);
  }
  for (const std::string& bad :
       {std::string(), std::string("ca"), identity.KeyPem(), pem.substr(0, pem.size() / 2),
        pem + pem.substr(0, pem.size() / 2) + "\n" + pem, pem.substr(0, 40) + pem.substr(60)}) {
    std::ofstream(path) << bad;
    EXPECT_THAT(ReadCertificates(path).status().ToString(), HasSubstr("ca.pem is not a PEM file of certificates"))
        << bad;
  }
  EXPECT_THAT(ReadCertificates(directory.path() + "/none.pem").status().ToString(), HasSubstr("none.pem"));
}

}  // namespace
}  // namespace millrace

// The messages of protos/opentelemetry against bytes that OpenTelemetry's own definitions give.
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "server/base/json.h"

namespace millrace::otlp {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using opentelemetry::proto::collector::trace::v1::TraceService;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

json::array Cases() {
  std::ifstream file("tests/otlp/data/otlp.json");
  std::stringstream text;
  text << file.rdbuf();
  const StatusOr<json::value> value = ParseJson(text.str());
  EXPECT_TRUE(value.ok()) << value.status();
  return value->as_object().at("cases").as_array();
}

// Checks that the bytes are read as the case's members, and are written back as they were.
template <typename Message>
void Check(const json::object& a_case) {
  const std::string name(a_case.at("name").as_string());
  const std::string bytes = FromHex(a_case.at("hex").as_string());
  Message message;
  ASSERT_TRUE(message.ParseFromString(bytes)) << name;
  EXPECT_EQ(message.SerializeAsString(), bytes) << name;
  Message expected;
  const auto status = google::protobuf::util::JsonStringToMessage(json::serialize(a_case.at("json")), &expected);
  ASSERT_TRUE(status.ok()) << name << ": " << status.ToString();
  EXPECT_EQ(expected.SerializeAsString(), bytes) << name;
  EXPECT_EQ(message.GetReflection()->GetUnknownFields(message).field_count(), 0) << name;
}

TEST(WireTest, BytesOfOpenTelemetrysOwnDefinitionsAreReadAndWritten) {
  int requests = 0;
  int responses = 0;
  for (const json::value& value : Cases()) {
    const json::object& a_case = value.as_object();
    const std::string type(a_case.at("type").as_string());
    if (type == ExportTraceServiceRequest::descriptor()->full_name()) {
      Check<ExportTraceServiceRequest>(a_case);
      ++requests;
    } else if (type == ExportTraceServiceResponse::descriptor()->full_name()) {
      Check<ExportTraceServiceResponse>(a_case);
      ++responses;
    }
  }
  EXPECT_EQ(requests, 2);
  EXPECT_EQ(responses, 3);
}

TEST(WireTest, TheServiceHasItsNameOnTheWire) {
  EXPECT_STREQ(TraceService::service_full_name(), "opentelemetry.proto.collector.trace.v1.TraceService");
}

}  // namespace
}  // namespace millrace::otlp

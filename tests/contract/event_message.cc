#include "tests/contract/event_message.h"

#include <zlib.h>

#include <string_view>

namespace millrace::backend {
namespace {

std::string BigEndian(size_t number, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(number >> (8 * i)));
  return text;
}

std::string Crc(std::string_view bytes) {
  return BigEndian(::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()), 4);
}

}  // namespace

std::string EventMessageBytes(const std::map<std::string, std::string>& headers, const std::string& payload) {
  std::string block;
  for (const auto& [name, value] : headers) {
    block += BigEndian(name.size(), 1) + name + '\7' + BigEndian(value.size(), 2) + value;
  }
  std::string message = BigEndian(16 + block.size() + payload.size(), 4) + BigEndian(block.size(), 4);
  message += Crc(message);
  message += block + payload;
  return message + Crc(message);
}

std::string EventBytes(const std::string& type, const std::string& payload) {
  return EventMessageBytes({{":event-type", type}, {":content-type", "application/json"}, {":message-type", "event"}},
                           payload);
}

std::string ExceptionBytes(const std::string& type, const std::string& payload) {
  return EventMessageBytes({{":exception-type", type}, {":message-type", "exception"}}, payload);
}

}  // namespace millrace::backend

// Gives valijson access to JSON values, and counts its work: valijson compares every element of an array with every
// other, and every value with every entry of an `enum`, without any bound. Included by schema.cc only, since valijson
// must be configured before its headers are read.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <valijson/internal/adapter.hpp>
#include <valijson/internal/basic_adapter.hpp>
#include <valijson/internal/frozen_value.hpp>
#include <valijson/internal/optional.hpp>

#include "server/base/work_meter.h"

namespace millrace {

// Exception that ends a check; valijson has no other way to stop.
struct TooComplex {};

// Counts one value that valijson looks at, with `bytes` of text. Throws TooComplex if the thread's meter has ended.
inline void CountLook(size_t bytes) {
  if (!SpendWork(static_cast<int64_t>(1 + bytes / 16))) throw TooComplex();
}

class SchemaAdapter;

// Iterator over the elements of an array or the members of an object.
template <typename Inner, typename Value>
class SchemaIterator {
 public:
  using iterator_category = std::bidirectional_iterator_tag;
  using value_type = Value;
  using difference_type = std::ptrdiff_t;
  using pointer = Value*;
  using reference = Value&;

  explicit SchemaIterator(Inner at) : at_(at) {}
  Value operator*() const;
  valijson::adapters::DerefProxy<Value> operator->() const { return valijson::adapters::DerefProxy<Value>(**this); }
  bool operator==(const SchemaIterator& other) const { return at_ == other.at_; }
  bool operator!=(const SchemaIterator& other) const { return at_ != other.at_; }
  SchemaIterator& operator++() {
    ++at_;
    return *this;
  }
  SchemaIterator operator++(int) {
    SchemaIterator before(*this);
    ++at_;
    return before;
  }
  SchemaIterator& operator--() {
    --at_;
    return *this;
  }
  void advance(std::ptrdiff_t n) { at_ += n; }

 private:
  Inner at_;
};

using SchemaMember = std::pair<std::string, SchemaAdapter>;
using SchemaElements = SchemaIterator<boost::json::array::const_iterator, SchemaAdapter>;
using SchemaMembers = SchemaIterator<boost::json::object::const_iterator, SchemaMember>;

class SchemaArray {
 public:
  using const_iterator = SchemaElements;
  using iterator = SchemaElements;

  SchemaArray() : array_(Empty()) {}
  explicit SchemaArray(const boost::json::array& array) : array_(array) {}
  SchemaElements begin() const { return SchemaElements(array_.begin()); }
  SchemaElements end() const { return SchemaElements(array_.end()); }
  size_t size() const { return array_.size(); }

 private:
  static const boost::json::array& Empty() {
    static const auto* const kEmpty = new boost::json::array();
    return *kEmpty;
  }
  const boost::json::array& array_;
};

class SchemaObject {
 public:
  using const_iterator = SchemaMembers;
  using iterator = SchemaMembers;

  SchemaObject() : object_(Empty()) {}
  explicit SchemaObject(const boost::json::object& object) : object_(object) {}
  SchemaMembers begin() const { return SchemaMembers(object_.begin()); }
  SchemaMembers end() const { return SchemaMembers(object_.end()); }
  SchemaMembers find(const std::string& name) const { return SchemaMembers(object_.find(name)); }
  size_t size() const { return object_.size(); }

 private:
  static const boost::json::object& Empty() {
    static const auto* const kEmpty = new boost::json::object();
    return *kEmpty;
  }
  const boost::json::object& object_;
};

class SchemaFrozenValue final : public valijson::adapters::FrozenValue {
 public:
  explicit SchemaFrozenValue(boost::json::value value) : value_(std::move(value)) {}
  FrozenValue* clone() const override { return new SchemaFrozenValue(value_); }
  bool equalTo(const valijson::adapters::Adapter& other, bool strict) const override;

 private:
  boost::json::value value_;
};

class SchemaValue {
 public:
  SchemaValue() : value_(Empty()) {}
  explicit SchemaValue(const boost::json::value& value) : value_(value) { CountLook(0); }

  valijson::adapters::FrozenValue* freeze() const { return new SchemaFrozenValue(value_); }
  opt::optional<SchemaArray> getArrayOptional() const {
    return isArray() ? opt::make_optional(SchemaArray(value_.get_array())) : opt::optional<SchemaArray>();
  }
  opt::optional<SchemaObject> getObjectOptional() const {
    return isObject() ? opt::make_optional(SchemaObject(value_.get_object())) : opt::optional<SchemaObject>();
  }
  bool getArraySize(size_t& size) const {
    if (isArray()) size = value_.get_array().size();
    return isArray();
  }
  bool getObjectSize(size_t& size) const {
    if (isObject()) size = value_.get_object().size();
    return isObject();
  }
  bool getBool(bool& truth) const {
    if (isBool()) truth = value_.get_bool();
    return isBool();
  }
  bool getDouble(double& number) const {
    if (isDouble()) number = value_.get_double();
    return isDouble();
  }
  bool getInteger(int64_t& number) const {
    if (isInteger()) number = value_.get_int64();
    return isInteger();
  }
  bool getString(std::string& text) const {
    if (!isString()) return false;
    const boost::json::string& string = value_.get_string();
    CountLook(string.size());
    text.assign(string.data(), string.size());
    return true;
  }
  static bool hasStrictTypes() { return true; }
  bool isArray() const { return value_.is_array(); }
  bool isBool() const { return value_.is_bool(); }
  bool isDouble() const { return value_.is_double(); }
  bool isInteger() const { return value_.is_int64(); }
  bool isNull() const { return value_.is_null(); }
  bool isNumber() const { return value_.is_number(); }
  bool isObject() const { return value_.is_object(); }
  bool isString() const { return value_.is_string(); }

  const boost::json::value& value() const { return value_; }

 private:
  static const boost::json::value& Empty() {
    static const auto* const kEmpty = new boost::json::value();
    return *kEmpty;
  }
  const boost::json::value& value_;
};

// The adapter of valijson for a value that outlives it.
class SchemaAdapter final
    : public valijson::adapters::BasicAdapter<SchemaAdapter, SchemaArray, SchemaMember, SchemaObject, SchemaValue> {
 public:
  SchemaAdapter() : value_(nullptr) {}
  explicit SchemaAdapter(const boost::json::value& value) : BasicAdapter(SchemaValue(value)), value_(&value) {}

  // REQUIRES: it was made of a value.
  const boost::json::value& value() const { return *value_; }

 private:
  const boost::json::value* value_;
};

template <>
inline SchemaAdapter SchemaElements::operator*() const {
  return SchemaAdapter(*at_);
}

template <>
inline SchemaMember SchemaMembers::operator*() const {
  CountLook(at_->key().size());
  return {std::string(at_->key().data(), at_->key().size()), SchemaAdapter(at_->value())};
}

inline bool SchemaFrozenValue::equalTo(const valijson::adapters::Adapter& other, bool strict) const {
  return SchemaAdapter(value_).equalTo(other, strict);
}

}  // namespace millrace

namespace valijson::adapters {

template <>
struct AdapterTraits<millrace::SchemaAdapter> {
  using DocumentType = boost::json::value;
  static std::string adapterName() { return "SchemaAdapter"; }
};

}  // namespace valijson::adapters

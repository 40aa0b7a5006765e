// Fields that a group takes from its members.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/repeated_field.h>
#include <boost/json/fwd.hpp>

#include "millrace/v1/stages.pb.h"

namespace millrace {

// What a `keep` list says, over the members' values.
class GroupFields {
 public:
  explicit GroupFields(const google::protobuf::RepeatedPtrField<v1::GroupField>& fields)
      : fields_(fields.begin(), fields.end()) {}

  // The values of one member, as the text of a JSON array with one entry for each field: all of it that has to be kept
  // until the group is made.
  std::string Take(const boost::json::value& member) const;

  // Sets the fields of `group` from what Take gave for its members, in their order. A field that no member has is not
  // set.
  void Put(const std::vector<std::string_view>& members, boost::json::object& group) const;

  // The names that Put sets.
  std::vector<std::string> names() const;

 private:
  std::vector<v1::GroupField> fields_;
};

}  // namespace millrace

# SPDX-License-Identifier: Apache-2.0
"""What is inside of an image: looked at, and written anew, before anybody uses it.

Drivers and provisioning service both look, each for itself: what is in Glance may have
come there without the service. Nothing here knows of engines, Nova or Glance.
"""

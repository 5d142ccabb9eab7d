from django.urls import path

import views

urlpatterns = [
    path("stream", views.Ticks.as_view()),
    path("time", views.Time.as_view()),
    path("notice", views.Notices.as_view()),
    path("events", views.Events.as_view()),
]
